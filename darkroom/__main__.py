"""`python -m darkroom` is the console command."""

from darkroom.cli import main

main()
