"""What the HTTP side and the GPU side agree on: requests, jobs, the queue, pictures, errors."""
