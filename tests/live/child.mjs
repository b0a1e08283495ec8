// What stands in for the process of an experiment: it does what the id of the order says, or its second argument, once it
// has loaded for as many milliseconds as its first argument says.
process.stdin.resume().on('close', () => process.kill(process.pid, 'SIGKILL'));
const event = (text) => process.send({ type: 'event', event: { type: 'text', text, at: 0.1 }, sentAt: Date.now() });
const header = {
  format: 1, id: 'x', title: 'x', startedAt: '2026-03-02T10:00:00.000Z', command: 'npm run x', parameters: {},
  provenance: {
    commit: null, dirty: false, backend: 'cpu', inputs: [],
    machine: { cpu: 'x', cores: 1, memoryBytes: 1, platform: 'x', node: 'x' },
  },
};
process.once('message', ({ id: asked, edited }) => {
  const id = process.argv[3] ?? asked;
  event(edited ?? 'uno');
  if (id === 'good') {
    process.send({ type: 'header', header });
    process.send({ type: 'unheard of' });
    console.log('impreso');
    console.log('largo'.padEnd(600, '.'));
    process.send({ type: 'event', event: { type: 'result', results: { a: 1 }, at: 0.2 }, sentAt: Date.now() });
    setTimeout(() => process.send({ type: 'finished' }), 50);
  }
  if (id === 'logging') {
    console.error('WARNING: All log messages before absl::InitializeLog() is called are written to STDERR');
    console.error('I0000 00:00:1795948277.514174   19352 port.cc:153] oneDNN custom operations are on. You may see');
    console.error('E0000 00:00:1795948277.514174   19352 cuda.cc:9] un error de verdad');
    setTimeout(() => process.send({ type: 'finished' }), 50);
  }
  if (id === 'failing') process.send({ type: 'failed', message: 'No hay modelo.' });
  if (id === 'dying') process.exit(3);
  if (id === 'busy') setInterval(() => event('sigo'), 20);
  if (id === 'flood') for (let i = 0; i < 21_000; i++) event('agua');
  // 'silent' tells nothing more
});
setTimeout(() => process.send({ type: 'ready' }), Number(process.argv[2] ?? 0));
