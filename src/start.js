import Module from 'node:module';
import 'tsx';

/*
 * What every program starts by: TypeScript as it is, through tsx. That turns source maps on, for our own errors to tell
 * the line, and with them Node reads and keeps the map of every file that has one: TensorFlow.js's alone takes 40 MB
 * of each process and half a second. Packages are compiled without.
 */
const { _compile: compile } = Module.prototype;

Module.prototype._compile = function (content, file, ...rest) {
  const ofPackage = file.includes('node_modules');
  if (ofPackage) process.setSourceMapsEnabled(false);
  try {
    return compile.call(this, content, file, ...rest);
  } finally {
    if (ofPackage) process.setSourceMapsEnabled(true);
  }
};
