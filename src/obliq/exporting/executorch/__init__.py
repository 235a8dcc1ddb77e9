"""ExecuTorch programs: written, read and checked."""
