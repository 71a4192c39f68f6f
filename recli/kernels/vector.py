"""What kernels may say of rows in registers, and of single numbers; `recli.kernels.instructions` is what it means."""

from __future__ import annotations

from llvmlite.binding import get_host_cpu_features

from recli.kernels.functions import Instruction

WIDE = bool(get_host_cpu_features().get("avx512f"))  # 32 registers of 16 floats; else most have 16 of 8

above = Instruction("above")
dot = Instruction("dot")
doubled = Instruction("doubled")
each = Instruction("each")
fetch = Instruction("fetch")
head = Instruction("head")
joined = Instruction("joined")
load = Instruction("load")
lowest = Instruction("lowest")
masked = Instruction("masked")
maximum = Instruction("maximum")
number = Instruction("number")
plus = Instruction("plus")
store = Instruction("store")
tail = Instruction("tail")
times = Instruction("times")
touch = Instruction("touch")
zeros = Instruction("zeros")
