"""What Ratchet does by itself in help channels: answers out of the documentation, and care for what stays open."""
