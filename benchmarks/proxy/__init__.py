"""The hub's proxy beside configurable-http-proxy on Node.js; see docs/benchmarks.md."""
