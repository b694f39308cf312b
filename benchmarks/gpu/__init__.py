"""The parts of `benchmarks.gpu_all`, each of which runs in a separate process."""
