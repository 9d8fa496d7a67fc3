"""Traces of Polyvisor: what `trace dump` printed, made into pictures and numbers (tools/trace, docs/tracing.md)."""
