"""What builds, checks and documents bodega; nothing here is part of the package."""
