"""What went wrong in a function or model, told from the failing frame: place, operands, why, possible fixes."""
