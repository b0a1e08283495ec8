import { parentPort } from 'node:worker_threads';
import ts from 'typescript';
import type { Problem } from './state.ts';
import type { Question } from './types.ts';

/** The thread of the TypeScript language service, which speaks Spanish. */
ts.validateLocaleAndSetLanguage('es', ts.sys);
const texts = new Map<string, { text: string; version: number }>();
const { config } = ts.readConfigFile('tsconfig.json', (path) => ts.sys.readFile(path)) as { config: object };
const options: ts.CompilerOptions = {
  ...ts.parseJsonConfigFileContent(config, ts.sys, process.cwd()).options,
  noUnusedLocals: false, noUnusedParameters: false, // half-written code is full of them
};
const service = ts.createLanguageService({
  getCompilationSettings: () => options,
  getScriptFileNames: () => [...texts.keys()],
  getScriptVersion: (file) => String(texts.get(file)?.version ?? 0),
  getScriptSnapshot(file) {
    const text = texts.get(file)?.text ?? ts.sys.readFile(file);
    return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
  },
  getCurrentDirectory: () => process.cwd(),
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  fileExists: (path) => ts.sys.fileExists(path),
  readFile: (path) => ts.sys.readFile(path),
  readDirectory: (...args) => ts.sys.readDirectory(...args),
  directoryExists: (path) => ts.sys.directoryExists(path),
  getDirectories: (path) => ts.sys.getDirectories(path),
}, ts.createDocumentRegistry());

parentPort!.on('message', ({ file, text, from, to }: Question) => {
  texts.set(file, { text, version: (texts.get(file)?.version ?? 0) + 1 });
  const found = [...service.getSyntacticDiagnostics(file), ...service.getSemanticDiagnostics(file)];
  const problems = found.flatMap(({ file: source, start, length, messageText, code }): Problem[] => {
    if (!source || start === undefined) return [];
    const { line, character } = source.getLineAndCharacterOfPosition(start);
    const message = `${ts.flattenDiagnosticMessageText(messageText, ' ')} (TS${code})`;
    if (line >= from && line < to) return [{ line: line - from, column: character, length: length ?? 1, message }];
    return [{ line: 0, column: 0, length: 1, message: `Línea ${line + 1} del programa, fuera de lo que se ve: ${message}` }];
  });
  parentPort!.postMessage(problems);
});
