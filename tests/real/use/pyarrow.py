import sysconfig
import tempfile
from pathlib import Path

import numpy
import pyarrow
import pyarrow.compute
import pyarrow.parquet

values = numpy.arange(1000) / 2
table = pyarrow.table({"n": pyarrow.array(values), "t": [str(value) for value in values]})
with tempfile.TemporaryDirectory() as directory:
    pyarrow.parquet.write_table(table, f"{directory}/a.parquet")
    back = pyarrow.parquet.read_table(f"{directory}/a.parquet")
assert back.equals(table)
assert (back["n"].to_numpy() == values).all()
assert pyarrow.compute.sum(back["n"]).as_py() == values.sum()

tag = "cp" + sysconfig.get_config_var("SOABI").split("-")[1]
files = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
mapped = {Path(file).name for file in files if "libarrow_python" in file}
assert mapped, "no libarrow_python is mapped"
assert all(f"-{tag}." in name for name in mapped), mapped
