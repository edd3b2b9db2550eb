"""The ground: what lies on disk, and what is published."""
