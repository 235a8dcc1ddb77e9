"""Proxy matching: `proxy_matching` is the method, `aims` computes what proxies show."""

from obliq.methods.proxy_matching.proxy_matching import ProxyMatching

__all__ = ["ProxyMatching"]
