"""Python runs this first in each process on the debug build: UBSan is told where its reports go.

Beside ASan's runtime, libubsan's own option log_path sets the path of ASan and not that of UBSan.
"""

import ctypes
import os

if reports := os.environ.get("SANITIZER_REPORTS"):
    ctypes.CDLL("libubsan.so.1").__sanitizer_set_report_path(f"{reports}/undefined".encode())
