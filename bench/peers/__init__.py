"""What a good engineer would run instead of batchwire. Nothing here may import batchwire.core."""
