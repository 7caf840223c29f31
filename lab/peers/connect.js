// Connects to HOST PORT by Node's net module with autoSelectFamily and prints the milliseconds it took.
const net = require('node:net');
const [host, port] = process.argv.slice(-2);
const start = process.hrtime.bigint();
const socket = net.connect({ host, port: Number(port), autoSelectFamily: true });
socket.on('connect', () => {
  console.log(Number(process.hrtime.bigint() - start) / 1e6);
  socket.destroy();
});
socket.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
