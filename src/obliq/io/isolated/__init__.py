"""Files of others, decoded in a child process with limits on memory and time.

Pillow, zlib, bz2, lzma and NumPy's parser of headers work on bytes that anybody may have written. A fault in one of
them then ends a child process instead of the user's, and the parent receives plain numbers alone: arrays whose types
and shapes it checks. `child` starts and ends the process, `worker` runs in it, and the other modules decode one kind of
file each. Nothing here imports torch, which takes longer than all the rest.
"""
