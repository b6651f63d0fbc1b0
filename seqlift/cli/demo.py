"""`seqlift demo`: the main job on data that comes with seqlift."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click

from seqlift.errors import InputError, OutputError

__all__ = ["COMMANDS", "data_folder", "demo"]

MODEL, GENOME = "ctcf-p73.pt2", "chr20.fa.gz"
COMMANDS = (
    f"seqlift inspect {MODEL} --target 0",
    f"seqlift score -m {MODEL} -g {GENOME} -r ctcf.chr20.narrowPeak -o ctcf --target 0 --logos 3",
    f"seqlift score -m {MODEL} -g {GENOME} -r p73.chr20.narrowPeak -o p73 --target 1 --logos 3",
    "seqlift logo ctcf.h5 -o ctcf.png --hypothetical --standard-error",
)
LOOK_AT = """
Look at
  ctcf.png           the strongest core: contribution of each base, what each of the four bases
                     would contribute there, and the standard error over 20 references
  ctcf.logo1.png     to 3, and p73's: the three peaks of each factor with the strongest cores
  ctcf.bw, p73.bw    the tracks: open them in a genome browser on hg19, chromosome 20
  ctcf.regions.tsv   what became of every peak, and how nearly its scores sum to delta
  ctcf.h5            everything, for programs (modisco reads it as it is)
  README.md          where the data come from
"""


def data_folder() -> Path:
    """Return the folder of the embedded data: in the installed package, or beside it in a checkout.

    Raises
    ------
    InputError
        If the installation lacks it.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "data", package.parent / "data"):
        if (folder / MODEL).is_file():
            return folder
    raise InputError("this installation of seqlift lacks its demo data; install it again")


@click.command(short_help="Run the main job on embedded real data.")
@click.argument("folder", metavar="[DIR]", default="seqlift-demo", required=False)
@click.option("--force", is_flag=True, help="Use a folder that exists, and replace what is in it.")
def demo(folder: str, force: bool) -> None:
    """Copy a trained model, a genome slice and ChIP-seq peaks to DIR, and score them.

    Prints each command before it runs it; they work as they are in DIR. DIR is seqlift-demo by
    default.
    """
    place = Path(folder)
    if place.exists() and not force:
        raise OutputError(f"{folder} exists (use --force, or name another folder)")
    source = data_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            if path.is_file():
                # A time of its own for each copy, in this order: no index older than its FASTA.
                shutil.copyfile(path, place / path.name)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}") from error
    click.echo(f"cd {shlex.quote(folder)}")
    for command in COMMANDS:
        _run(command, place, force)
    click.echo(LOOK_AT)


def _run(command: str, place: Path, force: bool) -> None:
    """Print a command and run it with this very installation."""
    click.echo(command)
    words = shlex.split(command)[1:]
    extra = ["--force"] if force and words[0] != "inspect" else []
    with subprocess.Popen([sys.executable, "-m", "seqlift", *words, *extra], cwd=place) as child:
        try:
            status = child.wait()
        except BaseException:  # interrupted: the child gets time to clean up
            child.terminate()
            child.wait()
            raise
    if status:
        raise click.exceptions.Exit(status)
