//! The comparison with a model.
