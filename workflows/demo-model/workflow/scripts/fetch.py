"""Download the source package of gimmemotifs and check that it is the one we know."""

import hashlib
import subprocess
import sys
from pathlib import Path

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

target = Path(snakemake.output[0])
requirement = f"gimmemotifs=={snakemake.params.version}"
pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
subprocess.run(
    [*pip, "--dest", target.parent, requirement], check=True, stdout=sys.stdout, stderr=sys.stderr
)
archive = target.with_name(f"gimmemotifs-{snakemake.params.version}.tar.gz")
sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
if sha256 != snakemake.params.sha256:
    raise SystemExit(f"{archive} has sha256 {sha256}; expected {snakemake.params.sha256}")
archive.rename(target)
