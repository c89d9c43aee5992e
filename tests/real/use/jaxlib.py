import sysconfig
from pathlib import Path

import jax

assert jax.jit(lambda x: x * 2 + 1)(jax.numpy.arange(3.0)).tolist() == [1.0, 3.0, 5.0]

tag = "cp" + sysconfig.get_config_var("SOABI").split("-")[1]
files = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
mapped = {Path(file).name for file in files if "libjax_common" in file}
assert mapped == {f"libjax_common-{tag}.so"}, mapped
