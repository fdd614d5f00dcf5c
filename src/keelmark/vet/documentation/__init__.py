"""Documentation: what a model card says, and the class of the Model Openness Framework."""
