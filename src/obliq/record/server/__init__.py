"""The page and the HTTP API of a record (extra `serve`): people work with it in a browser, programs by tokens."""
