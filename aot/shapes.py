"""The valid calls of a compiled graph: one description for both torch.export's dynamic shapes and the guard.

AOTInductor drops the guards of the exported program. A call with another shape, dtype, autocast state or flag returns
finite garbage without an error, so everything is checked in Python before the graph runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from flashworld.errors import CompiledBlockError
from flashworld.limits import MAX_FRAMES, MAX_SCENE_PIXELS, MAX_SIDE_PX, MIN_FRAMES, MIN_SIDE_PX, SIZE_MULTIPLE


@dataclass(frozen=True)
class SizeRange:
    """Scene sizes a graph serves.

    Attributes:
        frames: Fewest and most views.
        height: Lowest and highest image height in pixels, multiples of `SIZE_MULTIPLE`.
        width: The same of the width.
        max_pixels: Largest frames x height x width; beyond it 32-bit indices inside a kernel may overflow.
    """

    frames: tuple[int, int]
    height: tuple[int, int]
    width: tuple[int, int]
    max_pixels: int = MAX_SCENE_PIXELS

    def __post_init__(self) -> None:
        for name, (low, high), multiple in (
            ("frames", self.frames, 1),
            ("height", self.height, SIZE_MULTIPLE),
            ("width", self.width, SIZE_MULTIPLE),
        ):
            if not 0 < low <= high or low % multiple or high % multiple:
                raise CompiledBlockError(
                    f"{name} range must be two ascending multiples of {multiple}, got {low} to {high}"
                )

    @classmethod
    def exactly(cls, frames: int, height: int, width: int) -> SizeRange:
        """One size: the graph is compiled with static shapes."""
        return cls((frames, frames), (height, height), (width, width))

    @property
    def varies(self) -> bool:
        """Whether it has more than one size."""
        return any(low < high for low, high in (self.frames, self.height, self.width))

    @property
    def label(self) -> str:
        """Short text for keys and logs, e.g. "f24_h480_w704"."""
        sides = (("f", self.frames), ("h", self.height), ("w", self.width))
        return "_".join(name + (f"{low}" if low == high else f"{low}-{high}") for name, (low, high) in sides)

    def contains(self, frames: int, height: int, width: int) -> bool:
        """Whether a scene of this size is served."""
        sides = ((self.frames, frames), (self.height, height), (self.width, width))
        return all(low <= n <= high for (low, high), n in sides) and frames * height * width <= self.max_pixels


EVERY_SIZE = SizeRange((MIN_FRAMES, MAX_FRAMES), (MIN_SIDE_PX, MAX_SIDE_PX), (MIN_SIDE_PX, MAX_SIDE_PX))
"""Every size that a request may have."""


@dataclass(frozen=True)
class Axis:
    """One size of a tensor that may change between calls.

    Attributes:
        symbol: Axes of one symbol have sizes in one proportion: size = multiple x value of the symbol.
        minimum: Smallest value of the symbol.
        maximum: Largest.
        multiple: Factor of this axis. Plain dimensions fail at export where the network halves them.
    """

    symbol: str
    minimum: int
    maximum: int
    multiple: int = 1

    def dimension(self) -> Any:  # noqa: ANN401 - torch.export's own type is private
        """The same for torch.export."""
        base = torch.export.Dim(self.symbol, min=self.minimum, max=self.maximum)
        return base if self.multiple == 1 else self.multiple * base


@dataclass(frozen=True)
class TensorSpec:
    """One tensor argument. Graphs are traced with, and called with, contiguous tensors.

    Attributes:
        shape: A number, or an `Axis` where sizes may change.
        dtype: Name without "torch.".
        device: "cuda" or "cpu".
    """

    shape: tuple[int | Axis, ...]
    dtype: str
    device: str

    def mismatch(self, value: Any, symbols: dict[str, int]) -> str | None:  # noqa: ANN401 - a call's argument
        """Why a value does not fit, or None. `symbols` collects the values of the axes."""
        if not isinstance(value, torch.Tensor):
            return f"expected a tensor, got {type(value).__name__}"
        found = (str(value.dtype).removeprefix("torch."), value.device.type)
        if found != (self.dtype, self.device):
            return f"expected {self.dtype} on {self.device}, got {found[0]} on {found[1]}"
        if value.ndim != len(self.shape) or not all(
            _size_fits(size, wanted, symbols) for size, wanted in zip(value.shape, self.shape, strict=True)
        ):
            return f"expected shape ({', '.join(map(_axis_text, self.shape))}), got {tuple(value.shape)}"
        return None


def _size_fits(size: int, wanted: int | Axis, symbols: dict[str, int]) -> bool:
    if not isinstance(wanted, Axis):
        return size == wanted
    value, rest = divmod(size, wanted.multiple)
    return rest == 0 and wanted.minimum <= value <= wanted.maximum and symbols.setdefault(wanted.symbol, value) == value


def _axis_text(axis: int | Axis) -> str:
    if not isinstance(axis, Axis):
        return str(axis)
    return f"{axis.symbol}={axis.minimum * axis.multiple}..{axis.maximum * axis.multiple} step {axis.multiple}"


@dataclass(frozen=True)
class CallSpec:
    """All arguments of a call, by name.

    Attributes:
        tensors: Those that are tensors.
        constants: Those that are not, with the only value that the graph was traced for.
        budget: Symbols with a factor each: the product of value x factor may not exceed `budget_limit`.
        budget_limit: See `SizeRange.max_pixels`; 0 means no limit.
    """

    tensors: Mapping[str, TensorSpec]
    constants: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, int] = field(default_factory=dict)
    budget_limit: int = 0

    def mismatch(self, arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> str | None:
        """Why a call does not fit this graph, or None.

        Args:
            arguments: The call's arguments by name, without defaults.
            defaults: Default values of the function's arguments.
        """
        symbols: dict[str, int] = {}
        for name, spec in self.tensors.items():
            if name not in arguments:
                return f"{name}: expected a tensor, got nothing"
            if reason := spec.mismatch(arguments[name], symbols):
                return f"{name}: {reason}"
        for name, constant in self.constants.items():
            value = arguments.get(name, defaults.get(name))
            if type(value) is not type(constant) or value != constant:
                return f"{name}: expected {constant!r}, got {value!r}"
        for name in arguments.keys() - self.tensors.keys() - self.constants.keys():
            if arguments[name] is not defaults.get(name, self):
                return f"{name}: the graph was made without it"
        if self.budget_limit and self._total(symbols) > self.budget_limit:
            return f"expected at most {self.budget_limit} pixels in all frames, got {self._total(symbols)}"
        return None

    def _total(self, symbols: Mapping[str, int]) -> int:
        return math.prod(symbols.get(name, 1) * factor for name, factor in self.budget.items())

    def dynamic_shapes(self) -> dict[str, Any]:
        """The dynamic shapes for torch.export; None for a fixed argument."""
        shapes: dict[str, Any] = dict.fromkeys(self.constants)
        for name, spec in self.tensors.items():
            axes = {i: a.dimension() for i, a in enumerate(spec.shape) if isinstance(a, Axis)}
            shapes[name] = axes or None
        return shapes

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {
            "tensors": {
                name: {
                    "shape": [vars(a) if isinstance(a, Axis) else a for a in spec.shape],
                    "dtype": spec.dtype,
                    "device": spec.device,
                }
                for name, spec in self.tensors.items()
            },
            "constants": dict(self.constants),
            "budget": dict(self.budget),
            "budget_limit": self.budget_limit,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CallSpec:
        """Read `to_json`'s output.

        Raises:
            CompiledBlockError: a field is missing or of another kind.
        """
        try:
            tensors = {
                name: TensorSpec(
                    tuple(Axis(**a) if isinstance(a, dict) else int(a) for a in spec["shape"]),
                    spec["dtype"],
                    spec["device"],
                )
                for name, spec in data["tensors"].items()
            }
            return cls(tensors, dict(data["constants"]), dict(data["budget"]), int(data["budget_limit"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CompiledBlockError(f"metadata: the description of the inputs is not readable: {error!r}") from error


def call_spec(
    arguments: Mapping[str, Any],
    axes: Mapping[str, Sequence[Axis | None]] | None = None,
    *,
    budget: Mapping[str, int] | None = None,
    budget_limit: int = 0,
) -> CallSpec:
    """Describe a captured call.

    Args:
        arguments: The arguments by name.
        axes: For tensors with variable sizes: one entry per dimension, None if fixed.
        budget: See `CallSpec`.
        budget_limit: See `CallSpec`.

    Raises:
        CompiledBlockError: an argument can be neither guarded nor compared, or an example is outside its own range.
    """
    tensors, constants = {}, {}
    for name, value in arguments.items():
        if isinstance(value, torch.Tensor):
            dims = (axes or {}).get(name) or [None] * value.ndim
            shape = tuple(size if axis is None else axis for size, axis in zip(value.shape, dims, strict=True))
            dtype = str(value.dtype).removeprefix("torch.")
            tensors[name] = TensorSpec(shape, dtype, value.device.type)
        elif value is None or isinstance(value, bool | int | float | str):
            constants[name] = value
        else:
            raise CompiledBlockError(f"{name}: expected a tensor or a plain value, got {type(value).__name__}")
    spec = CallSpec(tensors, constants, budget or {}, budget_limit)
    if reason := spec.mismatch(arguments, {}):
        raise CompiledBlockError(f"the example call is outside the graph's own range: {reason}")
    return spec
