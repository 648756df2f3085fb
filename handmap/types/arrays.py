"""Array types, and the array module `xp` (NumPy or CuPy) that arithmetic takes as an argument."""

from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# NumPy on the host, CuPy on a GPU: the same functions, no common static type.
ArrayModule: TypeAlias = ModuleType
Array: TypeAlias = Any

Float32: TypeAlias = NDArray[np.float32]
Float64: TypeAlias = NDArray[np.float64]
Int32: TypeAlias = NDArray[np.int32]
Int64: TypeAlias = NDArray[np.int64]
Uint16: TypeAlias = NDArray[np.uint16]
Uint8: TypeAlias = NDArray[np.uint8]
Bool: TypeAlias = NDArray[np.bool_]
