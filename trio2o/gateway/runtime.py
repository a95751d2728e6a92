from trio2o.runtime import Runtime, build_runtime  # noqa: F401
