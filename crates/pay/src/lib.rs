//! Loomal: machine payments.
