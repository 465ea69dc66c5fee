//! Consumer and publisher of NSQ.
