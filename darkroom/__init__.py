"""The console command of darkroom."""
