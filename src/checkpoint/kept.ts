import { statSync } from 'node:fs';
import { resolve } from 'node:path';

/** A file that changed so short a while ago, in milliseconds, may do it again within a tick of the disk's clock. */
const racy = 100;

/**
 * What a function makes of a file, kept for as long as the file is as it was: by its inode, size and the moment of its
 * last change, as git does.
 */
export function keptPerFile<T>(make: (path: string) => T): (path: string) => T {
  const kept = new Map<string, { readonly stamp: string; readonly made: T }>();
  return (path) => {
    const { ino, size, ctimeNs, ctimeMs } = statSync(path, { bigint: true });
    const [key, stamp] = [resolve(path), [ino, size, ctimeNs].join()];
    const known = kept.get(key);
    if (known?.stamp === stamp) return known.made;
    const made = make(path);
    if (Date.now() - Number(ctimeMs) > racy) kept.set(key, { stamp, made });
    else kept.delete(key);
    return made;
  };
}
