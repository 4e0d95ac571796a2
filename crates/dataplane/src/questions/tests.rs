use super::*;

fn question() -> Question {
    Question::RefreshKeys { identity: "mobile".to_owned() }
}

fn patience(open: usize) -> Patience {
    Patience { deadline: Duration::from_secs(2), open }
}

fn enqueue(questions: &Questions, question: Question, open: usize) -> Asked {
    questions.enqueue(question, patience(open), Instant::now())
}

fn waits(asked: Asked) -> oneshot::Receiver<Told> {
    let Asked::Waits(receiver) = asked else { panic!("{asked:?}") };
    receiver
}

#[test]
fn two_askers_share_one_question_and_its_answer() {
    let questions = Questions::default();
    let mut first = waits(enqueue(&questions, question(), MAX_REFRESHES));
    let mut second = waits(enqueue(&questions, question(), MAX_REFRESHES));
    let taken = questions.take(Duration::ZERO).unwrap();
    assert_eq!(taken, br#"[{"id":1,"kind":"refresh_keys","identity":"mobile"}]"#);
    assert_eq!(questions.take(Duration::ZERO), None);
    questions.answer(1, true);
    assert!(first.try_recv().unwrap().is_yes());
    assert!(second.try_recv().unwrap().is_yes());
}

#[test]
fn who_asks_what_another_has_asked_and_left_is_told_the_answer_to_that() {
    let questions = Questions::default();
    drop(waits(enqueue(&questions, question(), MAX_REFRESHES)));
    assert!(questions.take(Duration::ZERO).unwrap().starts_with(br#"[{"id":1,"#));
    let mut second = waits(enqueue(&questions, question(), MAX_REFRESHES));
    assert_eq!(questions.take(Duration::ZERO), None);
    questions.answer(1, true);
    assert!(second.try_recv().unwrap().is_yes());
}

#[test]
fn a_question_that_was_not_answered_in_time_is_asked_again_once_nobody_waits() {
    let questions = Questions::default();
    let enqueue = |now| questions.enqueue(question(), patience(MAX_REFRESHES), now);
    let first = waits(enqueue(Instant::now()));
    assert!(questions.take(Duration::ZERO).unwrap().starts_with(br#"[{"id":1,"#));
    let late = Instant::now() + patience(0).deadline;
    // Somebody still hopes.
    drop(waits(enqueue(late)));
    assert_eq!(questions.take(Duration::ZERO), None);
    drop(first);
    let mut last = waits(enqueue(late));
    assert!(questions.take(Duration::ZERO).unwrap().starts_with(br#"[{"id":2,"#));
    questions.answer(1, true);
    assert!(last.try_recv().is_err());
    questions.answer(2, true);
    assert!(last.try_recv().unwrap().is_yes());
}

#[test]
fn a_question_that_python_is_at_keeps_its_place_although_nobody_waits() {
    let (questions, now) = (Questions::default(), Instant::now());
    let other = || Question::RefreshKeys { identity: "other".to_owned() };
    drop(waits(questions.enqueue(question(), patience(1), now)));
    questions.take(Duration::ZERO).unwrap();
    assert!(matches!(questions.enqueue(other(), patience(1), now), Asked::Full));
    let late = Instant::now() + patience(1).deadline;
    assert!(matches!(questions.enqueue(other(), patience(1), late), Asked::Waits(_)));
}

#[test]
fn a_question_that_nobody_has_taken_is_not_queued_twice() {
    let questions = Questions::default();
    for _ in 0..3 {
        drop(waits(enqueue(&questions, question(), MAX_REFRESHES)));
    }
    assert_eq!(questions.lock().untaken.len(), 1);
}

#[test]
fn questions_that_nobody_waits_for_make_room() {
    let questions = Questions::default();
    let named = |number: usize| Question::RefreshKeys { identity: number.to_string() };
    let mut waiting: Vec<_> =
        (0..MAX_REFRESHES).map(|number| waits(enqueue(&questions, named(number), MAX_REFRESHES))).collect();
    assert!(matches!(enqueue(&questions, question(), MAX_REFRESHES), Asked::Full));
    waiting.pop();
    drop(waits(enqueue(&questions, question(), MAX_REFRESHES)));
    assert_eq!(questions.lock().open.len(), MAX_REFRESHES);
}

#[test]
fn questions_of_one_kind_leave_the_places_of_another() {
    let questions = Questions::default();
    let key = |number: usize| {
        let text = number.to_string();
        Question::LookUpKey { prefix: text.clone(), hash: text.clone(), digest: text }
    };
    let _waiting: Vec<_> = (0..3).map(|number| waits(enqueue(&questions, key(number), 3))).collect();
    assert!(matches!(enqueue(&questions, key(3), 3), Asked::Full));
    let _another = waits(enqueue(&questions, key(2), 3));
    let _refresh = waits(enqueue(&questions, question(), 1));
    let other = Question::RefreshKeys { identity: "other".to_owned() };
    assert!(matches!(enqueue(&questions, other, 1), Asked::Full));
}

#[test]
fn the_number_of_waiting_requests_is_bounded() {
    let questions = Questions::default();
    let _waiting: Vec<_> =
        (0..MAX_WAITING).map(|_| waits(enqueue(&questions, question(), MAX_REFRESHES))).collect();
    assert!(matches!(enqueue(&questions, question(), MAX_REFRESHES), Asked::Full));
}

#[test]
fn a_no_about_a_key_set_holds_for_a_second_and_a_yes_not_at_all() {
    let questions = Questions::default();
    let answered = |yes: bool| {
        let mut asker = waits(enqueue(&questions, question(), MAX_REFRESHES));
        questions.take(Duration::ZERO).unwrap();
        let id = questions.lock().open[&question()].id;
        questions.answer(id, yes);
        asker.try_recv().unwrap().is_yes()
    };
    assert!(answered(true));
    assert!(!questions.was_refused(&question(), Instant::now()));
    assert!(!answered(false));
    let refused_at = questions.lock().refused[&question()];
    let other = Question::RefreshKeys { identity: "other".to_owned() };
    assert!(!questions.was_refused(&other, refused_at));
    assert!(questions.was_refused(&question(), refused_at + Duration::from_millis(999)));
    assert!(!questions.was_refused(&question(), refused_at + REFUSED_FOR));
    assert!(questions.lock().refused.is_empty());
}

#[test]
fn an_answer_to_nobody_is_ignored() {
    Questions::default().answer(7, true);
}
