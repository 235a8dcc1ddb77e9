"""Files of quantizers that are not ours: ONNX Runtime's (QDQ form) and torchao's PT2E, through torch.onnx."""
