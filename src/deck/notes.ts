import { textOf } from './markdown.ts';
import type { MarkdownIt } from './markdown.ts';

/**
 * Speaker notes: a paragraph `^ **Notas:** …` (Deckset's way, which any viewer shows as text) becomes a
 * presenter note. Before `marpit_collect`, which gathers the comments of each slide.
 */
export function notes(md: MarkdownIt): void {
  md.core.ruler.before('marpit_collect', 'notes', (state) => {
    for (let i = 0; i < state.tokens.length; i++) {
      const [open, inline] = [state.tokens[i]!, state.tokens[i + 1]];
      if (open.type !== 'paragraph_open' || !inline?.content.startsWith('^ ')) continue;
      const note = new state.Token('marpit_comment', '', 0);
      note.hidden = true;
      note.content = textOf(inline).replace(/^\^ (Notas:\s*)?/, '');
      state.tokens.splice(i, 3, note);
    }
  });
}
