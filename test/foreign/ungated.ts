/** The process that answers queries, with its first wall taken away: what then still holds is the second. */
import { answerFromStdin } from "../../cli/answer.ts";

await answerFromStdin(false);
