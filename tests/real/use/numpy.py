import contextlib
import io
import sys

import numpy

assert (numpy.ones((3, 3)) @ numpy.arange(3)).tolist() == [3.0, 3.0, 3.0]
assert numpy.allclose(numpy.linalg.inv(numpy.diag([2.0, 4.0])), numpy.diag([0.5, 0.25]))

running = f"{sys.version_info[0]}.{sys.version_info[1]}"
built = numpy.show_config(mode="dicts")["Python Information"]["version"]
assert built == running, f"built for {built}, runs on {running}"
assert numpy.__config__.CONFIG["Python Information"]["version"] == running
text = io.StringIO()
with contextlib.redirect_stdout(text):
    numpy.show_config()
assert running in text.getvalue()
