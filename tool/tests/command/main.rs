//! The command, run as people and scripts run it, each time in a network of its own.

#[macro_use]
mod world;

mod check;
mod connect;
mod draw;
mod generate;
mod json;
mod lookup;
mod options;
mod pipe;
mod qlog;
mod service;
mod terminal;
mod tls;
