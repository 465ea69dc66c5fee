//! A simulator of the AWS services that the deployer talks to.
