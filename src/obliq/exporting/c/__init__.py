"""C99 files of our exporter: a network with its kernels, for microcontrollers."""
