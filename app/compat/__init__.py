"""What clients of other services speak: leniently, where those are lenient."""
