//! The same calls against the simulator and against moto.
