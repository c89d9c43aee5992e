"""A build backend (PEP 517) that needs nothing but a C compiler: it makes a wheel of src/ with one module in C."""

import base64
import hashlib
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import tomllib

PROJECT = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text())["project"]
METADATA = f"""\
Metadata-Version: 2.1
Name: {PROJECT["name"]}
Version: {PROJECT["version"]}
Requires-Python: {PROJECT["requires-python"]}
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    abi = sysconfig.get_config_var("SOABI").split("-")[1]
    python = f"cp3{sys.version_info.minor}"
    tag = f"{python}-cp{abi}-{sysconfig.get_platform().replace('-', '_')}"
    module = f"tinyext/_c{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = ["cc", "-shared", "-fPIC", "-O1", f"-I{sysconfig.get_paths()['include']}", "-o", "_c.so"]
    subprocess.run([*command, "-Wl,-z,relro,-z,now", "src/tinyext/_c.c"], check=True)
    files = {
        "tinyext/__init__.py": Path("src/tinyext/__init__.py").read_bytes(),
        module: Path("_c.so").read_bytes(),
        "tinyext-1.0.dist-info/METADATA": METADATA.encode(),
        "tinyext-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    }
    rows = [f"{name},{_digest(content)},{len(content)}\n" for name, content in files.items()]
    record = "tinyext-1.0.dist-info/RECORD"
    files[record] = "".join([*rows, f"{record},,\n"]).encode()
    name = f"tinyext-1.0-{tag}.whl"
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return name


def _digest(content):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
