import contextlib
import io
import platform
import sys

import numpy

assert (numpy.ones((3, 3)) @ numpy.arange(3)).tolist() == [3.0, 3.0, 3.0]
assert numpy.allclose(numpy.linalg.inv(numpy.diag([2.0, 4.0])), numpy.diag([0.5, 0.25]))

built = numpy.show_config(mode="dicts")["Python Information"]["version"]
assert built == "%d.%d" % sys.version_info[:2], f"built for {built}, runs on {platform.python_version()}"
text = io.StringIO()
with contextlib.redirect_stdout(text):
    numpy.show_config()
assert (
    f"cp3{sys.version_info[1]}" in text.getvalue()
    or f'"{built}"' in text.getvalue()
    or built in text.getvalue()
)
assert numpy.__config__.__spec__.name == "numpy.__config__"
