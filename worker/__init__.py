"""The GPU side: takes jobs from the queue, develops them in batches, publishes the pictures."""
