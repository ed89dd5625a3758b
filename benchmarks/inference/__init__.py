"""What a prediction costs beside other ways to serve a model."""
