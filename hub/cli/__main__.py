"""`python -m perijove.hub.cli`: the command line where the `perijove` program is not on the PATH."""

from perijove.hub.cli import main

main(prog_name="perijove")
