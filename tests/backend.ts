import { backendNames, hasTensorflow } from '../src/tensor/backend.ts';
import type { BackendName } from '../src/tensor/backend.ts';
import { hasDawn } from '../src/tensor/webgpu/dawn.ts';

const asked = backendNames.find((name) => name === process.env['TEST_BACKEND']);

/**
 * The backend that a test computes on: its own choice, or for all of them the one in the variable TEST_BACKEND, as CI
 * does once the native library is there. Tests of a backend's own kernels name it themselves.
 */
export function testBackend(own: BackendName): BackendName {
  return asked ?? own;
}

export function testBackends(...own: BackendName[]): BackendName[] {
  return asked === undefined ? own : [asked];
}

/** What ends the titles of tests that need what is set up apart: the reporter tells it as the reason for skipping. */
export const noLibrary = hasTensorflow() ? '' : ' [sin TensorFlow nativo: npm run setup:tensorflow]';
export const noDawn = hasDawn() ? '' : ' [sin Dawn: npm run setup:webgpu]';
