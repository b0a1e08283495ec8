import { textOf } from './markdown.ts';
import type { MarkdownIt, Token } from './markdown.ts';

/**
 * Speaker notes: a paragraph `^ **Notas:** …` (Deckset's way, which any viewer shows as text) becomes a
 * presenter note. Before `marpit_collect`, which gathers the comments of each slide as text; `meta.html` has the note
 * with its code and emphasis, for what can show them.
 */
export function notes(md: MarkdownIt): void {
  md.core.ruler.before('marpit_collect', 'notes', (state) => {
    for (let i = 0; i < state.tokens.length; i++) {
      const [open, inline] = [state.tokens[i]!, state.tokens[i + 1]];
      if (open.type !== 'paragraph_open' || !inline?.content.startsWith('^ ')) continue;
      const note = new state.Token('marpit_comment', '', 0);
      note.hidden = true;
      note.content = textOf(inline).replace(/^\^ (Notas:\s*)?/, '');
      const html = md.renderer.renderInline(inline.children ?? [], md.options, {});
      note.meta = { html: html.replace(/^\^ (<strong>Notas:<\/strong>\s*)?/, '') };
      state.tokens.splice(i, 3, note);
    }
  });
}

/** Leaves no note, not even those of comments: used after what reads comments of its own. */
export function withoutNotes(md: MarkdownIt): void {
  const stays = ({ type }: Token) => type !== 'marpit_comment';
  md.core.ruler.before('marpit_collect', 'without_notes', (state) => {
    state.tokens = state.tokens.filter(stays);
    for (const token of state.tokens) token.children = token.children?.filter(stays) ?? null;
  });
}
