import { javascript } from '@codemirror/lang-javascript';
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { setDiagnostics } from '@codemirror/lint';
import { EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { minimalSetup } from 'codemirror';
import type { ExperimentView, Problem } from '../state.ts';
import { element, whenIdle } from './dom.ts';
import type { CodeView } from './panel.ts';

/** After this pause in typing, in milliseconds, the code is told to the server. */
const pause = 250;

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.bool, tags.null], color: 'var(--pink)' },
  { tag: [tags.string, tags.number], color: 'var(--green)' },
  { tag: [tags.definition(tags.variableName), tags.propertyName, tags.typeName], color: 'var(--learns)' },
  { tag: tags.comment, color: 'var(--quiet)' },
]);

export interface EditorOptions {
  readonly readOnly: boolean;
  /** Told the code when typing pauses. */
  readonly edited: (code: string) => void;
  /** Ctrl-Enter, or ⌘-Enter. */
  readonly run: () => void;
}

/** An editor of the region of a program, which all windows of the talk share. */
export class Editor implements CodeView {
  readonly dom = element('div', 'vivo-editor');
  private editor: EditorView | undefined;
  /** What has been typed here and the server does not have yet. */
  private typed: string | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private view: ExperimentView | undefined;
  private taking = false;
  private problems: readonly Problem[] = [];

  constructor(private readonly options: EditorOptions) {
    // What is typed here moves no slide.
    for (const name of ['keydown', 'keyup', 'keypress'] as const) this.dom.addEventListener(name, (event) => event.stopPropagation());
    // Made when nothing else is to be done, before its panel is first opened: the events of a run do not wait for it.
    whenIdle(() => {
      this.editor = this.make();
      if (this.view) this.show(this.view);
    });
  }

  pending(): string | undefined {
    return this.typed;
  }

  show(view: ExperimentView): void {
    const { code, problems } = view;
    this.view = view;
    if (!this.editor) return;
    if (code === this.typed) this.typed = undefined;
    if (this.typed === undefined) this.take(code);
    if (!same(problems, this.problems)) this.mark(problems);
  }

  private make(): EditorView {
    const { readOnly, edited, run } = this.options;
    const view = new EditorView({
      parent: this.dom,
      extensions: [
        Prec.highest(keymap.of([
          { key: 'Mod-Enter', run: () => (run(), true) },
          { key: 'Escape', run: ({ contentDOM }) => (contentDOM.blur(), true) },
        ])),
        minimalSetup, javascript({ typescript: true }), syntaxHighlighting(colours), EditorView.lineWrapping,
        EditorState.readOnly.of(readOnly),
        EditorView.contentAttributes.of({ 'aria-label': 'Código del experimento', 'tabindex': '0' }),
        EditorView.updateListener.of(({ docChanged, state }) => {
          if (!docChanged || this.taking) return;
          this.typed = state.doc.toString();
          clearTimeout(this.timer);
          this.timer = setTimeout(() => { if (this.typed !== undefined) edited(this.typed); }, pause);
        }),
      ],
    });
    return view;
  }

  /** Another window's code, or the original. */
  private take(code: string): void {
    const { doc } = this.editor!.state;
    if (code === doc.toString()) return;
    this.taking = true;
    this.editor!.dispatch({ changes: { from: 0, to: doc.length, insert: code } });
    this.taking = false;
  }

  private mark(problems: readonly Problem[]): void {
    this.problems = problems;
    const { state } = this.editor!;
    this.editor!.dispatch(setDiagnostics(state, problems.map(({ line, column, length, message }) => {
      const { from: start, to: end } = state.doc.line(Math.min(line + 1, state.doc.lines));
      const from = Math.min(start + column, end);
      return { from, to: Math.min(from + Math.max(length, 1), state.doc.length), severity: 'error', message };
    })));
  }
}

/** Each message brings its own copy of them. */
const same = (some: readonly Problem[], others: readonly Problem[]): boolean =>
  JSON.stringify(some) === JSON.stringify(others);
