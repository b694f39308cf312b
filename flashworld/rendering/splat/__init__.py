"""Our own renderer for NVIDIA GPUs: forward only, several views at once, compiled when first used.

`pipeline.render_views` is what the rest of the project calls; `program` compiles and launches `kernels/*.cu`.
"""
