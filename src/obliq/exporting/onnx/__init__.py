"""ONNX: written, read and checked, byte by byte."""
