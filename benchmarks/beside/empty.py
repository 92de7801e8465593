"""An endpoint that does nothing: the service's own request and response types, and one answer for all."""

from fastapi import FastAPI

from app.schemas import NextWordRequest, NextWordResponse, NextWordUsage, Suggestion
from benchmarks.beside.listening import listen

WORDS = ("the", "good", "great", "amazing", "delicious")

app = FastAPI()


@app.post("/next-word")
async def next_word(request: NextWordRequest) -> NextWordResponse:
    return NextWordResponse(
        suggestions=[Suggestion(word=word, probability=0.1) for word in WORDS],
        usage=NextWordUsage(context_tokens=4, cached_tokens=3),
        model="none",
    )


if __name__ == "__main__":
    listen(app)
